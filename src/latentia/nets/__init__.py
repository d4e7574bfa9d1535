"""Networks: plain modules that know shapes, and no losses."""
