"""The contract with Ruby and Node: keys, JSON, queue names and process titles."""
