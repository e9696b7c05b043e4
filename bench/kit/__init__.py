"""What the benchmarks share: machine facts, commands watched from outside, chats and random models to train."""
