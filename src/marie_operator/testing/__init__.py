"""What stands around an operator in a test or a demo: a real control plane, a fake kubelet, S3, a simulated Marie.

Nothing here imports the operator, so that a wrong belief is not shared by both sides.
"""
