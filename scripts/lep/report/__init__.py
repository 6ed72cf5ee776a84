"""What readers look at: tables, figures, claims, integrity checks and the PDF. Reads result files, never models."""
