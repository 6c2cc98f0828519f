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
///
/// Only values for which `value & common == commonWanted` are meant; `common` and `mask` share no bit.
private func firstDifference(_ mask: UInt64, from wanted: UInt64, common: UInt64 = 0, equals commonWanted: UInt64 = 0) -> [Term] {
  var terms: [Term] = []
  var seen: UInt64 = 0
  for place in 0..<64 where mask & (1 << UInt64(place)) != 0 {
    let bit: UInt64 = 1 << UInt64(place)
    terms.append(.masked(common | seen | bit, equals: commonWanted | (wanted & seen) | (~wanted & bit)))
    seen |= bit
  }
  return terms
}

/// The values from `low` to `high`. A range with two bounds is several terms: the aligned powers of two that it is made of.
private func range(_ low: UInt64, _ high: UInt64) -> [Term] {
  if low > high { return [] }
  if low == 0 { return [.atMost(high)] }
  if high == .max { return [.atLeast(low)] }
  return blocks(low, high)
}

/// The same by masks alone, which meet everything. Not for all values at once.
private func blocks(_ low: UInt64, _ high: UInt64) -> [Term] {
  var terms: [Term] = []
  var start = low
  while true {
    var rest: UInt64 = start == 0 ? .max >> 1 : (start & ~(start - 1)) - 1
    while rest > high - start { rest >>= 1 }
    terms.append(.masked(~rest, equals: start))
    if high - start == rest { return terms }
    start += rest + 1
  }
}

/// The values for which both hold, as terms that exclude one another: exact, and none where nothing satisfies both.
func meet(_ a: Term, _ b: Term) -> [Term] {
  if a == b { return [a] }
  switch (a, b) {
  case (.masked(.max, let value), let other), (let other, .masked(.max, let value)):
    return other.holds(for: value) ? [.masked(.max, equals: value)] : []
  case (.masked(let m, let v), .masked(let n, let w)):
    return v & n == w & m ? [.masked(m | n, equals: v | w)] : []
  case (.masked(let mask, let wanted), .not(let value)), (.not(let value), .masked(let mask, let wanted)):
    if value & mask != wanted { return [.masked(mask, equals: wanted)] }
    return firstDifference(~mask, from: value, common: mask, equals: wanted)
  case (.masked(let mask, let wanted), .atMost(let limit)), (.atMost(let limit), .masked(let mask, let wanted)):
    if limit == .max { return [.masked(mask, equals: wanted)] }
    return blocks(0, limit).flatMap { meet($0, .masked(mask, equals: wanted)) }
  case (.masked(let mask, let wanted), .atLeast(let limit)), (.atLeast(let limit), .masked(let mask, let wanted)):
    if limit == 0 { return [.masked(mask, equals: wanted)] }
    return blocks(limit, .max).flatMap { meet($0, .masked(mask, equals: wanted)) }
  case (.atMost(let x), .atMost(let y)): return [.atMost(min(x, y))]
  case (.atLeast(let x), .atLeast(let y)): return [.atLeast(max(x, y))]
  case (.atMost(let high), .atLeast(let low)), (.atLeast(let low), .atMost(let high)): return range(low, high)
  case (.atMost(let high), .not(let value)), (.not(let value), .atMost(let high)):
    return value > high ? [.atMost(high)] : rangeWithout(value, 0, high)
  case (.atLeast(let low), .not(let value)), (.not(let value), .atLeast(let low)):
    return value < low ? [.atLeast(low)] : rangeWithout(value, low, .max)
  case (.not(let x), .not(let y)):
    let (low, high) = (min(x, y), max(x, y))
    return (low == 0 ? [] : range(0, low - 1)) + rangeWithout(high, low + 1, .max)
  }
}

/// `low <= value <= high`, cut in two.
private func rangeWithout(_ value: UInt64, _ low: UInt64, _ high: UInt64) -> [Term] {
  (value == 0 ? [] : range(low, value - 1)) + (value == .max ? [] : range(value + 1, high))
}

/// A set of argument vectors: at most one term for each argument, all of which hold. What one rule can say.
struct Region: Hashable {
  var terms: [Int: Term] = [:]

  static let everything = Region()

  /// The region of one rule, which has one comparison an argument (see `alternatives`); nil where nothing satisfies it.
  static func of(_ arguments: [SeccompArgument]) -> Region? {
    var region = Region.everything
    for argument in arguments {
      switch argument.term {
      case .some(nil): continue
      case .none: return nil
      case .some(let term?): region.terms[argument.index] = term
      }
    }
    return region
  }

  /// The part of this region in which `term` holds for argument `index`, as regions that exclude one another.
  func meeting(_ index: Int, _ term: Term) -> [Region] {
    let met = terms[index].map { meet($0, term) } ?? [term]
    return met.map { term in
      var part = self
      part.terms[index] = term
      return part
    }
  }

  /// The part in which one of `terms`, which exclude one another, holds for argument `index`.
  func within(_ index: Int, _ terms: [Term]) -> [Region] { terms.flatMap { meeting(index, $0) } }

  /// The part that lies in `other` too, and the rest; all regions exclude one another.
  func divided(by other: Region) -> (inside: [Region], outside: [Region]) {
    var inside = [self]
    var outside: [Region] = []
    for (index, term) in other.terms.sorted(by: { $0.key < $1.key }) {
      outside += inside.flatMap { $0.within(index, term.complement) }
      inside = inside.flatMap { $0.meeting(index, term) }
    }
    return (inside, outside)
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
