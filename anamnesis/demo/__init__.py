"""The demonstration: four sites arrive one after the other, three methods learn them side by side on this machine."""

from anamnesis.demo.run import run_demo

__all__ = ["run_demo"]
