"""The gate on the wire: a proxy between drivers and Postgres, at which a client stops before each statement."""
