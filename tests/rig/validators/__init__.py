"""
What vendors refuse, as far as it is known: a function for each.

It is given the JSON of a request and returns why the vendor would answer 400 to it; ""
where it would not.
"""

from .anthropic import anthropic, anthropic_copy
from .checking import Validator
from .gemini import gemini, gemini_signed
from .ollama import ollama
from .openai import VENDORS

__all__ = ["VALIDATORS", "Validator"]

VALIDATORS: dict[str, Validator] = {
    **VENDORS,
    "anthropic": anthropic,
    "anthropic copy": anthropic_copy,
    "gemini 2": gemini,
    "gemini 3": gemini_signed,
    "ollama": ollama,
}
