"""What the operator costs, beside a floor in the same run: the figures are ratios, since machines are noisy."""
