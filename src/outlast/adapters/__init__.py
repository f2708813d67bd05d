"""Adapters: how a signature becomes messages and a reply becomes values."""

from outlast.adapters.chat import Chat
from outlast.adapters.json import JSON
from outlast.adapters.native import Tools
from outlast.adapters.protocol import Adapter, Demo, FollowUp, Plan, Prepared, Task
from outlast.adapters.two_step import TwoStep
from outlast.adapters.xml import XML

__all__ = ["JSON", "XML", "Adapter", "Chat", "Demo", "FollowUp", "Plan", "Prepared", "Task", "Tools", "TwoStep"]
