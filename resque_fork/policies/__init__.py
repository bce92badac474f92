"""What becomes of a job: an outcome comes in, the first policy that answers gives an action.

The order is a list that can be read: `Policies.of`. What an application adds is asked
in the child, with the live exception; the built-in policies are asked in the parent, and by
whoever rescues the job of a dead worker.
"""

from .action import Action
from .outcome import Outcome
from .policies import Policies, add_policy
from .policy import Policy

__all__ = ["Action", "Outcome", "Policies", "Policy", "add_policy"]
