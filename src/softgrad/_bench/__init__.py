"""The benchmark: softgrad beside other libraries. `python -m softgrad bench` and benchmarks/speed.py run it.

Not part of the interface, and nothing of it is imported by `import softgrad`.
"""
