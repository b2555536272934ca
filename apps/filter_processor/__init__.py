"""Matches entity changes to viewports, filters and access, and hands them to the gateways."""
