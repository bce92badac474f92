"""Tests of the contract with other languages."""
