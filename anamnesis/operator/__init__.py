"""The resources that people write, the pure planning over them, and the back ends that carry plans out. No torch."""
