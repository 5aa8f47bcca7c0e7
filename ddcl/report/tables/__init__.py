"""From records to tables in every form."""
