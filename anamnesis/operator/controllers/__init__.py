"""The controllers, one package for each kind, all of one shape: state, plan input, execute, conditions."""
