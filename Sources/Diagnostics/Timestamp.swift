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
