/// RFC 3339, UTC, to the second, of milliseconds since 1970 (the proleptic Gregorian calendar, by 400-year eras).
package func timestamp(_ milliseconds: Int64) -> String {
  let seconds = milliseconds / 1000
  let (day, rest) = (seconds / 86400, seconds % 86400)
  let shifted = day + 719_468  // days since 0000-03-01
  let era = shifted / 146_097
  let dayOfEra = shifted % 146_097
  let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
  let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
  let monthIndex = (5 * dayOfYear + 2) / 153  // from March
  let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
  let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  let dayOfMonth = dayOfYear - (153 * monthIndex + 2) / 5 + 1
  let date = "\(padded(year, 4))-\(padded(month, 2))-\(padded(dayOfMonth, 2))"
  return "\(date)T\(padded(rest / 3600, 2)):\(padded(rest / 60 % 60, 2)):\(padded(rest % 60, 2))Z"
}

private func padded(_ value: Int64, _ width: Int) -> String {
  let digits = String(value)
  return String(repeating: "0", count: max(0, width - digits.count)) + digits
}

/// Seconds since 1970 of a date, `2026-12-24`, which is its beginning in UTC, or of an RFC 3339 time, `2026-12-24T08:00:00+01:00`; fractions
/// of seconds are cut off. nil for everything else, dates that do not exist among them.
package func secondsSince1970(_ text: String) -> Int64? {
  var rest = Array(text.utf8)[...]
  func number(_ digits: Int) -> Int64? {
    guard rest.count >= digits, rest.prefix(digits).allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
    defer { rest = rest.dropFirst(digits) }
    return rest.prefix(digits).reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
  }
  func skip(_ character: Unicode.Scalar) -> Bool {
    guard rest.first == UInt8(ascii: character) else { return false }
    rest = rest.dropFirst()
    return true
  }
  guard let year = number(4), skip("-"), let month = number(2), skip("-"), let day = number(2), (1...12).contains(month), day >= 1 else {
    return nil
  }
  let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
  let days: [Int64] = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
  guard day <= days[Int(month) - 1] else { return nil }
  // Days since 1970-01-01, the inverse of `timestamp`.
  let (fromMarch, yearFromMarch) = ((month + 9) % 12, month <= 2 ? year - 1 : year)
  let era = (yearFromMarch >= 0 ? yearFromMarch : yearFromMarch - 399) / 400
  let yearOfEra = yearFromMarch - era * 400
  let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + (153 * fromMarch + 2) / 5 + day - 1
  let midnight = (era * 146_097 + dayOfEra - 719_468) * 86400
  if rest.isEmpty { return midnight }

  guard skip("T") || skip("t"), let hour = number(2), skip(":"), let minute = number(2), skip(":"), let second = number(2),
    hour < 24, minute < 60, second <= 60
  else { return nil }
  if skip(".") {
    let fraction = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    guard !fraction.isEmpty else { return nil }
    rest = rest.dropFirst(fraction.count)
  }
  let time = midnight + hour * 3600 + minute * 60 + second
  if skip("Z") || skip("z") { return rest.isEmpty ? time : nil }
  let sign: Int64
  if skip("+") { sign = 1 } else if skip("-") { sign = -1 } else { return nil }
  guard let hours = number(2), skip(":"), let minutes = number(2), rest.isEmpty, hours < 24, minutes < 60 else { return nil }
  return time - sign * (hours * 3600 + minutes * 60)
}
