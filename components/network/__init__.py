"""The VPC: public subnets for load balancers and NAT, private for compute, isolated for data."""
