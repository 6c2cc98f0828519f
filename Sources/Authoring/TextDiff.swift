/// What changes between two texts, line by line, with three lines around each change: as diff -u shows it, without its head.
package func textDiff(from old: String, to new: String) -> [String] {
  let a = old.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  let b = new.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  let difference = b.difference(from: a)
  var removed: Set<Int> = []
  var inserted: Set<Int> = []
  for change in difference {
    switch change {
    case .remove(let offset, _, _): removed.insert(offset)
    case .insert(let offset, _, _): inserted.insert(offset)
    }
  }
  var lines: [(mark: String, text: String)] = []
  var (i, j) = (0, 0)
  while i < a.count || j < b.count {
    if i < a.count, removed.contains(i) {
      lines.append(("-", a[i]))
      i += 1
    } else if j < b.count, inserted.contains(j) {
      lines.append(("+", b[j]))
      j += 1
    } else {
      if i < a.count { lines.append((" ", a[i])) }
      i += 1
      j += 1
    }
  }
  while lines.last.map({ $0.mark == " " && $0.text.isEmpty }) ?? false { lines.removeLast() }
  let around = 3
  let changed = lines.indices.filter { lines[$0].mark != " " }
  var shown: [String] = []
  var last = -1
  for index in lines.indices where changed.contains(where: { abs($0 - index) <= around }) {
    if last >= 0, index > last + 1 { shown.append("…") }
    shown.append(lines[index].mark + lines[index].text)
    last = index
  }
  return shown
}
