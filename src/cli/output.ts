import type { Writable } from 'node:stream'

export type Align = 'left' | 'right'

export interface Column<Row> {
  readonly title: string
  readonly align?: Align
  value(row: Row): string | number
}

/** Columns as wide as their widest cell; the last one is not padded. */
export function formatTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = [
    columns.map(({ title }) => title),
    ...rows.map(row => columns.map(c => String(c.value(row)))),
  ]
  const widths = columns.map((_, i) => Math.max(...cells.map(line => line[i]!.length)))
  const lines = cells.map(line =>
    line
      .map((cell, i) => (columns[i]!.align === 'right' ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n`
}

/** `name: value` lines with the values in one column; a list goes one to a line. */
export function formatDetails(
  details: readonly (readonly [name: string, value: string | readonly string[]])[],
): string {
  const width = Math.max(...details.map(([name]) => name.length)) + 2
  const lines = details.flatMap(([name, value]) => {
    const values = typeof value === 'string' ? [value] : value.length === 0 ? ['-'] : value
    return values.map((text, i) => (i === 0 ? `${name}:` : '').padEnd(width) + text)
  })
  return `${lines.join('\n')}\n`
}

/** JSON for programs, text for people. */
export function print(out: Writable, asJson: boolean | undefined, data: unknown, text: () => string): void {
  out.write(asJson ? `${JSON.stringify(data, null, 2)}\n` : text())
}
