import { expect, it, onTestFinished, vi } from 'vitest'
import { LeaseRecovery } from '../../dist/routing/lease-recovery.js'
import type { Lease } from '../../dist/routing/lease.js'
import type { SessionState } from '../../dist/server/port.js'

// The times at which a connection is examined, and the consequences. On a real network: silent-network.test.ts and
// with.test.ts.

/** A lease as far as it is looked at, and the times that its connection was examined, cut or taken back. */
function fakeLease(state: { isAwaited: boolean; isOver?: boolean }) {
  const connection = { traffic: 0, isAwaited: state.isAwaited, cut: vi.fn<() => void>() }
  const release = vi.fn<() => void>()
  const lease = { origin: connection, scope: { isOver: state.isOver ?? false }, release, since: -1_000 }
  return { connection, release, lease: lease as unknown as Lease }
}

/** Looks at leases every half second, on a clock that the test moves; connections are examined after two seconds. */
function recover(leases: readonly Lease[], found: () => SessionState = () => 'busy') {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
  const examine = vi.fn<(lease: Lease) => Promise<SessionState>>(async () => found())
  const recovery = new LeaseRecovery([{ leases, examine }], 2_000)
  onTestFinished(() => {
    recovery.close()
    vi.useRealTimers()
  })
  return { examine, pass: (ms: number) => vi.advanceTimersByTimeAsync(ms) }
}

it('takes back an idle connection once its work is over, and nothing before', async () => {
  const [over, going] = [fakeLease({ isAwaited: false, isOver: true }), fakeLease({ isAwaited: false })]
  const { pass } = recover([over.lease, going.lease])
  await pass(500)
  expect(over.release).not.toHaveBeenCalled()
  over.connection.traffic++
  await pass(500)
  expect(over.release).not.toHaveBeenCalled()
  await pass(500)
  expect(over.release).toHaveBeenCalled()
  await pass(10_000)
  expect(going.release).not.toHaveBeenCalled()
})

it('examines a connection again after each silence, and leaves it alone while the server is at work', async () => {
  const { connection, lease } = fakeLease({ isAwaited: true })
  const { examine, pass } = recover([lease])
  await pass(2_000)
  expect(examine).not.toHaveBeenCalled()
  await pass(500)
  expect(examine).toHaveBeenCalledTimes(1)
  await pass(2_000)
  expect(examine).toHaveBeenCalledTimes(2)
  connection.traffic++
  await pass(2_000)
  expect(examine).toHaveBeenCalledTimes(2)
  expect(connection.cut).not.toHaveBeenCalled()
})

it('cuts a connection if the server is idle twice while an answer is due: the first time it may be on its way', async () => {
  const { connection, lease } = fakeLease({ isAwaited: true })
  const { examine, pass } = recover([lease], () => 'idle')
  await pass(2_500)
  expect(examine).toHaveBeenCalledTimes(1)
  expect(connection.cut).not.toHaveBeenCalled()
  await pass(500)
  expect(connection.cut).toHaveBeenCalledTimes(1)
})

it('cuts all silent connections if the server is unreachable, and no other', async () => {
  const silent = [fakeLease({ isAwaited: true }), fakeLease({ isAwaited: true })]
  const [answered, standing] = [fakeLease({ isAwaited: true }), fakeLease({ isAwaited: false })]
  const { examine, pass } = recover(
    [...silent, answered, standing].map(({ lease }) => lease),
    () => 'unreachable',
  )
  await pass(1_000)
  answered.connection.traffic++
  await pass(1_500)
  expect(examine).toHaveBeenCalledTimes(1)
  for (const { connection } of silent) expect(connection.cut).toHaveBeenCalledTimes(1)
  for (const { connection } of [answered, standing]) expect(connection.cut).not.toHaveBeenCalled()
})
