/// The candidate that `word` was most likely meant to be, or nil where none is near: at most two letters differ, or a quarter
/// of a longer word.
package func nearest(_ word: String, among candidates: some Sequence<String>) -> String? {
  var best: (name: String, distance: Int)?
  for candidate in candidates {
    let distance = editDistance(Array(word.lowercased().utf8), Array(candidate.lowercased().utf8))
    if distance < best?.distance ?? Int.max { best = (candidate, distance) }
  }
  guard let best, best.distance <= max(2, word.utf8.count / 4), best.distance < word.utf8.count else { return nil }
  return best.name
}

/// `; did you mean 'x'?`, or `; valid: a, b` where nothing is near.
package func suggestion(for word: String, among candidates: [String]) -> String {
  if let name = nearest(word, among: candidates) { return "; did you mean '\(name)'?" }
  return "; valid: \(candidates.joined(separator: ", "))"
}

/// Levenshtein, cut at 64 bytes: names are short, and hostile ones are not worth more.
private func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
  let (a, b) = (a.prefix(64), b.prefix(64))
  var row = Array(0...b.count)
  for (i, x) in a.enumerated() {
    var diagonal = row[0]
    row[0] = i + 1
    for (j, y) in b.enumerated() {
      let above = row[j + 1]
      row[j + 1] = min(above + 1, row[j] + 1, diagonal + (x == y ? 0 : 1))
      diagonal = above
    }
  }
  return row[b.count]
}
