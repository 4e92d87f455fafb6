"""PID 1 of the VM: mounts, network, data disk, services, power.

It starts before anything else can, often on an emulated processor: modules that are dear to
import (dataclasses, enum, re, socket, subprocess, threading, typing) stay out of it.
"""
