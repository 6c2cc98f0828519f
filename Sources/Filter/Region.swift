internal import OCI
internal import Profile

/// What one argument must be. Every comparison of libseccomp is one of these; `masked` with all bits is equality.
enum Term: Hashable {
  case masked(UInt64, equals: UInt64)
  case not(UInt64)
  case atMost(UInt64)
  case atLeast(UInt64)

  func holds(for value: UInt64) -> Bool {
    switch self {
    case .masked(let mask, let wanted): value & mask == wanted
    case .not(let other): value != other
    case .atMost(let limit): value <= limit
    case .atLeast(let limit): value >= limit
    }
  }

  /// The values for which this does not hold, as terms that exclude one another.
  var complement: [Term] {
    switch self {
    case .masked(.max, let value): [.not(value)]
    case .masked(let mask, let value): firstDifference(mask, from: value)
    case .not(let value): [.masked(.max, equals: value)]
    case .atMost(let limit): limit == .max ? [] : [.atLeast(limit + 1)]
    case .atLeast(let limit): limit == 0 ? [] : [.atMost(limit - 1)]
    }
  }

  func argument(_ index: Int) -> SeccompArgument {
    switch self {
    case .masked(.max, let value): SeccompArgument(index, .equal, value)
    case .masked(let mask, let value): SeccompArgument(index, .maskedEqual, mask, value)
    case .not(let value): SeccompArgument(index, .notEqual, value)
    case .atMost(let limit): SeccompArgument(index, .lessOrEqual, limit)
    case .atLeast(let limit): SeccompArgument(index, .greaterOrEqual, limit)
    }
  }
}

/// `value & mask != wanted`, one term for each bit that may be the lowest to differ:
/// for mask 0b101, wanted 0b001: `& 0b001 == 0b000`, then `& 0b101 == 0b101`.
private func firstDifference(_ mask: UInt64, from wanted: UInt64) -> [Term] {
  var terms: [Term] = []
  var seen: UInt64 = 0
  for place in 0..<64 where mask & (1 << UInt64(place)) != 0 {
    let bit: UInt64 = 1 << UInt64(place)
    terms.append(.masked(seen | bit, equals: (wanted & seen) | (~wanted & bit)))
    seen |= bit
  }
  return terms
}

/// What an intersection came to.
enum Meeting<Value> {
  case some(Value)
  /// Nothing satisfies both.
  case empty
  /// No single comparison says both.
  case inexpressible
}

/// The values for which both hold, as one term.
func meet(_ a: Term, _ b: Term) -> Meeting<Term> {
  if a == b { return .some(a) }
  switch (a, b) {
  case (.masked(.max, let value), let other), (let other, .masked(.max, let value)):
    return other.holds(for: value) ? .some(.masked(.max, equals: value)) : .empty
  case (.masked(let m, let v), .masked(let n, let w)):
    return v & n == w & m ? .some(.masked(m | n, equals: v | w)) : .empty
  case (.masked(let mask, let wanted), .not(let value)), (.not(let value), .masked(let mask, let wanted)):
    return value & mask == wanted ? .inexpressible : .some(.masked(mask, equals: wanted))
  case (.atMost(let x), .atMost(let y)): return .some(.atMost(min(x, y)))
  case (.atLeast(let x), .atLeast(let y)): return .some(.atLeast(max(x, y)))
  case (.atMost(let high), .atLeast(let low)), (.atLeast(let low), .atMost(let high)):
    if low > high { return .empty }
    return low == high ? .some(.masked(.max, equals: low)) : .inexpressible
  case (.atMost(let high), .not(let value)), (.not(let value), .atMost(let high)):
    if value > high { return .some(.atMost(high)) }
    if value < high { return .inexpressible }
    return high == 0 ? .empty : .some(.atMost(high - 1))
  case (.atLeast(let low), .not(let value)), (.not(let value), .atLeast(let low)):
    if value < low { return .some(.atLeast(low)) }
    if value > low { return .inexpressible }
    return low == .max ? .empty : .some(.atLeast(low + 1))
  case (.not, .not), (.masked, .atMost), (.masked, .atLeast), (.atMost, .masked), (.atLeast, .masked): return .inexpressible
  }
}

/// A set of argument vectors: at most one term for each argument, all of which hold. What one rule can say.
struct Region: Hashable {
  var terms: [Int: Term] = [:]

  static let everything = Region()

  /// The region of one rule whose comparisons all must hold, or nil where none can.
  static func of(_ arguments: [SeccompArgument]) -> Meeting<Region> {
    var region = Region.everything
    for argument in arguments {
      switch argument.term {
      case .some(nil): continue
      case .none: return .empty
      case .some(let term?):
        switch region.meeting(argument.index, term) {
        case .some(let met): region = met
        case .empty: return .empty
        case .inexpressible: return .inexpressible
        }
      }
    }
    return .some(region)
  }

  func meeting(_ index: Int, _ term: Term) -> Meeting<Region> {
    var met = self
    guard let known = terms[index] else {
      met.terms[index] = term
      return .some(met)
    }
    switch meet(known, term) {
    case .some(let term):
      met.terms[index] = term
      return .some(met)
    case .empty: return .empty
    case .inexpressible: return .inexpressible
    }
  }

  /// The part of this region in which one of `terms` holds for argument `index`; nil where that cannot be said.
  func within(_ index: Int, _ terms: [Term]) -> [Region]? {
    var parts: [Region] = []
    for term in terms {
      switch meeting(index, term) {
      case .some(let part): parts.append(part)
      case .empty: continue
      case .inexpressible: return nil
      }
    }
    return parts
  }

  /// This region without `other`, as regions that exclude one another; nil where that cannot be said.
  func subtracting(_ other: Region) -> [Region]? {
    var parts: [Region] = []
    var common = self
    for (index, term) in other.terms.sorted(by: { $0.key < $1.key }) {
      guard let outside = common.within(index, term.complement) else { return nil }
      parts += outside
      switch common.meeting(index, term) {
      case .some(let met): common = met
      case .empty: return parts
      case .inexpressible: return nil
      }
    }
    return parts
  }

  var arguments: [SeccompArgument] { terms.sorted { $0.key < $1.key }.map { $0.value.argument($0.key) } }
}

extension SeccompArgument {
  /// `.some(nil)`: holds always. `.none`: never.
  fileprivate var term: Term?? {
    switch relation {
    case .equal: return .some(.masked(.max, equals: value))
    case .maskedEqual:
      if valueTwo & ~value != 0 { return .none }
      return value == 0 ? .some(nil) : .some(.masked(value, equals: valueTwo))
    case .notEqual: return .some(.not(value))
    case .less: return value == 0 ? .none : .some(.atMost(value - 1))
    case .lessOrEqual: return value == .max ? .some(nil) : .some(.atMost(value))
    case .greaterOrEqual: return value == 0 ? .some(nil) : .some(.atLeast(value))
    case .greater: return value == .max ? .none : .some(.atLeast(value + 1))
    }
  }
}

extension Condition {
  /// Terms that exclude one another: where it holds, and where it does not.
  var holding: [Term] {
    switch relation {
    case .allSet: [.masked(mask, equals: mask)]
    case .anySet: Term.masked(mask, equals: 0).complement
    }
  }

  var failing: [Term] {
    switch relation {
    case .allSet: Term.masked(mask, equals: mask).complement
    case .anySet: [.masked(mask, equals: 0)]
    }
  }
}
