"""The controller of ContinualModels: reads the state, plans, executes the plan, writes statuses."""
