"""Tables, figures, claims, integrity checks, model cards and the PDF, all from result files; no model is loaded."""
