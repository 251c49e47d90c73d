package account

// SetHashCost changes the cost of the hashes to come.
func (s *Service) SetHashCost(c HashCost) { s.c.Hash = c }
