import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cli, TestDaemon } from './harness.ts'

let served: TestDaemon
let directory: string

beforeEach(async () => {
  served = await TestDaemon.start()
  directory = await mkdtemp(join(tmpdir(), 'holdfast-cli-'))
})
afterEach(async () => {
  await served[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

test('volume: create, list, show, set, resize and delete work and print sizes for people', async () => {
  const made = await served.run('volume create disk1 1MiB --block-size 4096')
  expect([made.code, made.err]).toEqual([0, ''])
  expect(made.out).toContain("volume 'disk1' made, 1MiB")
  expect(made.out).toContain('iscsi://127.0.0.1:3260/iqn.2026-11.io.holdfast:disk1/0')
  expect((await served.run('volume list')).out).toMatch(/^NAME .*\ndisk1 +1MiB +0B +4096/)
  expect((await served.run('volume show disk1')).out).toMatch(/^name: +disk1\n/)
  expect((await served.run('volume set disk1 --read-only on')).out).toMatch(/read-only: +yes/)
  expect((await served.run('volume resize disk1 2MiB')).out).toContain('2MiB')
  expect((await served.run('volume delete disk1')).out).toBe("volume 'disk1' deleted\n")
})

test('volume: limits are given, shown, and taken away with none', async () => {
  await served.run('volume create disk1 1MiB --iops-limit 500')
  const set = await served.run('volume set disk1 --bandwidth-limit 100MiB --bandwidth-burst 1GiB')
  expect([set.code, set.err]).toEqual([0, ''])
  expect(set.out).toMatch(/limits: +500 operations\/s, burst 500\n +100MiB\/s, burst 1GiB\n/)
  const lifted = await served.run('volume set disk1 --iops-limit none --bandwidth-limit none --json')
  expect(JSON.parse(lifted.out).limits).toMatchObject({ iops: 0, bytesPerSecond: 0 })
  expect((await served.run('volume set disk1 --bandwidth-limit fast')).code).toBe(2)
})

test('json: every answer is the data of the API, wherever the option stands', async () => {
  await served.run('volume create disk1 1MiB')
  for (const line of ['--json volume list', 'volume --json list', 'volume list --json']) {
    const { out } = await served.run(line)
    expect(JSON.parse(out)).toMatchObject([{ name: 'disk1', sizeBytes: 2 ** 20 }])
  }
})

test('exit codes: refused is 1 with one sentence, usage 2, no daemon 3', async () => {
  const refused = await served.run('volume show nothing')
  expect([refused.code, refused.out, refused.err]).toEqual([
    1,
    '',
    "holdfast: there is no volume 'nothing'\n",
  ])
  const badSize = await served.run('volume create x tenbytes')
  expect([badSize.code, badSize.err]).toEqual([
    2,
    expect.stringMatching(/^holdfast: 'tenbytes' is not a size.*\n$/),
  ])
  for (const line of [
    'volume create',
    'volume frobnicate',
    'volume list --nonsense',
    'volume create x 1G --block-size 7',
    'volume create x 1G --replicas 0',
    'volume set x --nbd everybody',
    'events --limit 0',
    'cluster token --nbd-tls on --etcd http://127.0.0.1:1',
  ]) {
    expect([line, (await served.run(line)).code]).toEqual([line, 2])
  }
  const alone = await cli(['volume', 'list', '--api', 'http://127.0.0.1:1'])
  expect([alone.code, alone.err]).toEqual([
    3,
    expect.stringMatching(/^holdfast: the daemon at http:\/\/127.0.0.1:1 cannot be reached/),
  ])
  expect((await cli(['--help'])).code).toBe(0)
  expect((await cli(['volume', 'list', '--help'])).code).toBe(0)
})

test('exit codes: who cannot reach a daemon is told why', async () => {
  const reason = async (...argv: string[]) => (await cli(['status', '--api', ...argv])).err
  const { port } = new URL(served.url)
  expect(await reason('http://127.0.0.1:1')).toMatch(/nothing listens there; is it running\?\n$/)
  expect(await reason(`https://127.0.0.1:${port}`)).toMatch(/does not speak TLS; try http:\/\/\n$/)
  expect(await reason(served.url, '--api-token-file', join(directory, 'none'))).toMatch(
    /^holdfast: the token file .*none cannot be read: there is no such file or directory\n$/,
  )
})

test('api: the option wins over the variable and takes HOST:PORT', async () => {
  const environment = { HOLDFAST_API: 'http://127.0.0.1:1' }
  const address = new URL(served.url).host
  expect((await cli(['status', '--api', address], { environment })).code).toBe(0)
  expect((await cli(['status'], { environment })).code).toBe(3)
})

test('api: the token comes from a file or the environment', async () => {
  await using guarded = await TestDaemon.start('a-token-for-tests-only')
  const refused = await guarded.run('status')
  const hint = '(--api-token-file or HOLDFAST_API_TOKEN)\n'
  expect([refused.code, refused.err]).toEqual([
    1,
    `holdfast: the request needs the daemon's bearer token ${hint}`,
  ])
  const wrong = await guarded.run('status', {
    environment: { HOLDFAST_API_TOKEN: 'another-token-for-tests' },
  })
  expect([wrong.code, wrong.err]).toEqual([1, `holdfast: the bearer token is not the daemon's ${hint}`])
  const file = join(directory, 'token')
  await writeFile(file, 'a-token-for-tests-only\n')
  expect((await guarded.run(['status', '--api-token-file', file])).code).toBe(0)
  await writeFile(file, 'a-token-for-tests-only\n# of the first rack\n')
  expect((await guarded.run(['status', '--api-token-file', file])).code).toBe(0)
  const environment = { HOLDFAST_API_TOKEN: 'a-token-for-tests-only' }
  expect((await guarded.run('status', { environment })).code).toBe(0)
})

test('target: LUNs, ACL and CHAP; secrets come from files and standard input', async () => {
  await served.run('volume create disk1 1MiB')
  expect((await served.run('target lun add disk1 1 disk1 --read-only')).out).toMatch(/1 disk1 read-only/)
  expect((await served.run('target lun remove disk1 1')).out).not.toMatch(/read-only/)
  expect((await served.run('target acl add disk1 iqn.2026-11.test:a')).out).toContain('iqn.2026-11.test:a')
  expect((await served.run('target acl remove disk1 iqn.2026-11.test:a')).out).toMatch(/ACL: +nobody/)
  expect((await served.run('target acl add disk1 all')).out).toContain('open to all')
  const file = join(directory, 'secret')
  await writeFile(file, 'mutual-secret-of-us\n')
  const line = `target chap set disk1 --user ann --secret-file - --mutual-user us --mutual-secret-file ${file}`
  const set = await served.run(line, { stdin: 'secret-of-ann-here\n' })
  expect(set.out).toMatch(/CHAP: +ann, mutual us/)
  expect(served.daemon.calls.at(-1)).toMatchObject([
    'setChap',
    'disk1',
    { user: 'ann', secret: 'secret-of-ann-here', mutualUser: 'us', mutualSecret: 'mutual-secret-of-us' },
  ])
  expect((await served.run('target chap clear disk1')).out).toMatch(/CHAP: +none/)
  expect((await served.run('target chap set disk1 --user ann --secret-file - --mutual-user us')).code).toBe(2)
  expect((await served.run('target chap set disk1 --user ann')).code).toBe(2)
})

test('secrets: a file of more than one line is refused, and says nothing of what is in it', async () => {
  await served.run('volume create disk1 1MiB')
  const { code, err } = await served.run('target chap set disk1 --user ann --secret-file -', {
    stdin: 'secret-of-ann-here\nand-one-more-line\n',
  })
  expect([code, err]).toEqual([1, 'holdfast: standard input has more than one line, and a secret is one\n'])
  expect(served.daemon.calls).toHaveLength(1)
})

test('discovery chap: set and clear', async () => {
  expect(
    (await served.run('discovery chap set --user d --secret-file -', { stdin: 'discovery-secret' })).code,
  ).toBe(0)
  expect(served.daemon.calls.at(-1)).toEqual(['setDiscoveryChap', { user: 'd', secret: 'discovery-secret' }])
  expect((await served.run('discovery chap clear')).code).toBe(0)
  expect(served.daemon.calls.at(-1)).toEqual(['clearDiscoveryChap'])
})

test('operations: status, events, peers, sessions and doctor print tables', async () => {
  expect((await served.run('status')).out).toMatch(/used: +1GiB of 1TiB/)
  expect((await served.run('events --limit 1')).out).toContain('volume-created')
  expect((await served.run('peer list')).out).toMatch(/peer-1 +1 +up .*zone=a/)
  expect((await served.run('peer show peer-1')).out).toContain('zone=a')
  const sessions = await served.run('session list')
  expect([sessions.out.replace(/ .*/s, ''), sessions.err]).toEqual(['ID', ''])
  served.daemon.silent = ['b', 'c']
  const some = await served.run('session list')
  expect([some.code, some.err]).toEqual([0, 'holdfast: b, c did not say which sessions there are\n'])
  served.daemon.silent = []
  const kicked = await served.run('session kick iscsi-9')
  expect([kicked.code, kicked.err]).toEqual([1, "holdfast: there is no session 'iscsi-9'\n"])
  expect((await served.run('doctor')).out).toContain('the brick is 90 % full')
})

test('scrub: start takes a bandwidth, status and stop show the state', async () => {
  expect((await served.run('scrub status')).out).toBe('no scrub since the daemon started\n')
  expect((await served.run('scrub start --bandwidth 8MiB')).out).toMatch(/scrub: +running/)
  expect(served.daemon.calls.at(-1)).toEqual(['startScrub', { bytesPerSecond: 8 * 2 ** 20 }])
  expect((await served.run('scrub stop')).out).toMatch(/scrub: +ended/)
})

test('help: what is asked for is no usage error, a command without its verb is one', async () => {
  for (const line of [['help'], ['help', 'volume'], ['volume', '--help'], ['--version']])
    expect([line, (await cli(line)).code]).toEqual([line, 0])
  expect((await cli(['volume'])).code).toBe(2)
})

test('dev: a number of peers that no process should have is refused as usage', async () => {
  const peers = await cli(['dev', '--peers', '17'])
  expect([peers.code, peers.err]).toEqual([2, expect.stringContaining('--peers takes 1 to 16')])
})

test('cluster: a token that cannot be kept is not made, and one that is there stays', async () => {
  const file = join(directory, 'none', 'token')
  const init = ['cluster', 'init', '--etcd', 'http://127.0.0.1:1', '--token-file']
  const refused = await cli([...init, file])
  expect([refused.code, refused.err]).toEqual([
    1,
    `holdfast: the token file ${file} cannot be written: there is no such file or directory\n`,
  ])
  const kept = join(directory, 'kept')
  await writeFile(kept, 'the-token-of-before\n')
  expect((await cli([...init, kept])).err).toMatch(/^holdfast: etcd does not answer/)
  expect(await readFile(kept, 'utf8')).toBe('the-token-of-before\n')
  expect((await cli([...init, join(directory, 'new')])).code).toBe(1)
  expect(await readdir(directory)).toEqual(['kept'])
})

test('cluster: without etcd, and without a name to join by, the sentence says what is missing', async () => {
  const init = await cli(['cluster', 'init'])
  expect([init.code, init.err]).toEqual([2, expect.stringContaining('give --etcd URL')])
  const file = join(directory, 'token')
  await writeFile(file, 'holdfast-token\n')
  const join_ = await cli(['cluster', 'join', '--etcd', 'http://127.0.0.1:1', '--token-file', file])
  expect([join_.code, join_.err]).toEqual([2, expect.stringContaining('--peer-name')])
})

test('peer: list says whether the cluster is balanced; drain, undrain and remove', async () => {
  expect((await served.run('peer list')).out).toMatch(/peer-1 +1 +up[\s\S]*\nbalanced\n$/)
  expect((await served.run('peer drain peer-1')).out).toMatch(/state: +draining/)
  expect((await served.run('peer undrain peer-1')).out).toMatch(/state: +up/)
  expect((await served.run('peer remove peer-1 --force')).out).toBe("peer 'peer-1' removed\n")
  expect(served.daemon.calls.at(-1)).toEqual(['removePeer', 'peer-1', { force: true }])
  const [peer] = await served.daemon.control.listPeers()
  served.daemon.control.listPeers = async () => [{ ...peer!, state: 'draining' }]
  expect((await served.run('peer list')).out).toMatch(/\nbalanced\nno other peer can take what peer-1 holds/)
  const missing = await served.run('peer show peer-9')
  expect([missing.code, missing.err]).toEqual([1, "holdfast: there is no peer 'peer-9'\n"])
})

test('volume recover: names the peers that are off', async () => {
  await served.run('volume create lost 1MiB')
  expect((await served.run('volume recover lost')).code).toBe(2)
  expect((await served.run('volume recover lost --off peer-2 --off peer-3')).out).toMatch(/owner: +peer-1/)
  expect(served.daemon.calls.at(-1)).toEqual(['recoverVolume', 'lost', { off: ['peer-2', 'peer-3'] }])
})
