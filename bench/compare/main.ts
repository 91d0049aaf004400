import { readResult, resultFiles } from '../results.ts'
import { caveats, differences, Verdict } from './differences.ts'

// `npm run bench:compare -- [BEFORE AFTER]`: names what changed beyond noise. Exit code 1 when something is worse.
const files = process.argv.slice(2)
const [after, before] = files.length === 2 ? [files[1], files[0]] : resultFiles()
if (before === undefined || after === undefined || files.length === 1) {
  console.error('bench:compare: name two result files, or run the bench twice first (bench/results)')
  process.exit(2)
}
const [then, now] = [readResult(before), readResult(after)]
console.log(
  `before: ${before}  commit ${then.commit ?? 'unknown'}\nafter:  ${after}  commit ${now.commit ?? 'unknown'}`,
)
for (const caveat of caveats(then, now)) console.log(`note: ${caveat}`)

const found = differences(then, now)
const changed = found.filter(({ verdict }) => verdict !== Verdict.same)
for (const { verdict, point, server, measure, ratio, before: b, after: a } of changed) {
  const percent = `${ratio >= 1 ? '+' : ''}${((ratio - 1) * 100).toFixed(0)} %`
  const from = `${b.median.toPrecision(4)} (${b.min.toPrecision(4)}-${b.max.toPrecision(4)})`
  const to = `${a.median.toPrecision(4)} (${a.min.toPrecision(4)}-${a.max.toPrecision(4)})`
  console.log(`${verdict.padEnd(6)} ${point} ${server} ${measure}: ${from} -> ${to}, ${percent}`)
}
console.log(`${found.length - changed.length} of ${found.length} figures are the same within noise`)
if (changed.some(({ verdict }) => verdict === Verdict.worse)) process.exitCode = 1
