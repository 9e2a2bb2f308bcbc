"""From records to what they allow to say: means, ranks, differences that hold."""
