"""What pages, reports and the command line show of a home: tables in, plain values out."""
