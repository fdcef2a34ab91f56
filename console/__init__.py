"""The admin site and the only home of its Russian words. Reads and acts through flows alone; so far one page."""
