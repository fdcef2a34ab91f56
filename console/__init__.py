"""The admin site and the only home of its Russian words. Reads through flows; so far one page of overview."""
