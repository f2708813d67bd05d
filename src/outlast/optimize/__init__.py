"""The compiler: studies, optimizers, and the proof of what they found."""
