"""From prompts to a step's training data: generation, rewards, filters, advantages, evaluation."""
