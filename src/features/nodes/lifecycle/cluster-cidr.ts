/** Where pods get their addresses, and how much of it a machine gets (prefix length). */
export const CLUSTER_CIDR = '10.244.0.0/16'
export const NODE_CIDR_BITS = 24
