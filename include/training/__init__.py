"""Examples, fitting, conversion, evaluation. Pure: values in, values out."""
