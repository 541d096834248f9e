"""Close-mic demixing: blind inversion of the mixing, each source starting at its own microphone."""
