"""What a stack costs in a month: the pack's own estimate of a composed graph, as data. Nothing prints."""
