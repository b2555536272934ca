"""What a stack costs in a month: price data with its sources, line items, the estimate of a whole graph."""
