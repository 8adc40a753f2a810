"""The simulation, simulated: is each of its checks seen to fail, and is a run its seed's alone?"""
