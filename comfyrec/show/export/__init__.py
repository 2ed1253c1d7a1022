"""Stories as traces and tables that other tools open."""
