import { readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { RESULTS_DIRECTORY, readResult, resultFiles } from '../results.ts'
import { sectionOf, tableOfContents } from './sections.ts'

// `npm run bench:page -- [RESULT…]`: one page with plots, of the given files or of the newest run of each kind.
const STYLE = readFileSync(new URL('./page.css', import.meta.url), 'utf8')

/** A file's name up to its time says what kind of run it was. */
function newestOfEachKind(): string[] {
  const seen = new Set<string>()
  return resultFiles().filter(file => {
    const kind = relative(RESULTS_DIRECTORY, file).replace(/\d{4}-.*$/, '')
    if (seen.has(kind)) return false
    seen.add(kind)
    return true
  })
}

const given = process.argv.slice(2)
const files = given.length > 0 ? given : newestOfEachKind()
const results = files.map(file => ({ name: relative(RESULTS_DIRECTORY, file), ...readResult(file) }))
// Tables of servers come first, then what grows.
results.sort((a, b) => Number(a.curve !== undefined) - Number(b.curve !== undefined))
const page = join(RESULTS_DIRECTORY, 'index.html')
writeFileSync(
  page,
  `<!doctype html><html lang="en"><meta charset="utf-8"><title>Holdfast bench</title><style>${STYLE}</style>
<h1>Holdfast bench</h1><p>Bars and lines are medians, whiskers the least and greatest round. The limit is an echo of the
same bytes that stores nothing. How to read all of it: bench/README.md.</p>
${tableOfContents(results)}
${results.map(sectionOf).join('\n')}</html>\n`,
)
console.log(relative(process.cwd(), page))
