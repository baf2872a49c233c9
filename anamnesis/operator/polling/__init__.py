"""What begins an update: what lies at a source, schedules and windows. Looks at listings, never at images."""
