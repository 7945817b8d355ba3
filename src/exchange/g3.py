"""Write a capture as a G3 file.

Reads a JSON object on standard input: the path to write, the length of a scan,
and the boards with their files. Prints one JSON object: the frames and samples
that were written, and what is doubtful about them, or the packages that are
missing. docs/exchange.md describes the frames.
"""

import gzip
import json
import math
import sys
import zlib

MISSING = 3  # exit status if packages are missing

try:
    import numpy as np
    import pyarrow
except ImportError as error:
    print(json.dumps({"lacks": f"{error.name}: install pyarrow and numpy"}))
    sys.exit(MISSING)
try:
    from spt3g import core
except ImportError:
    try:
        from so3g.spt3g import core
    except ImportError:
        print(json.dumps({"lacks": "spt3g: install spt3g (or so3g)"}))
        sys.exit(MISSING)
try:
    from spt3g.calibration import BolometerProperties, BolometerPropertiesMap
except ImportError:
    BolometerPropertiesMap = None  # so3g has no such part

TICK_NS = 10  # the unit of times in G3
FIRST_RATE_HZ = 625e6 / 256 / 64  # at stage 0, of which each stage takes half
# A frame has up to this many times the samples of a scan. Clocks that are a little slow or fast do
# not reach it.
MOST_SCANS = 1.125
ROWS_WITHOUT_RATE = 6000  # as many as a scan of 10 s has at 596 Hz
DAMAGED = (pyarrow.ArrowException, OSError, ValueError)  # what pyarrow raises for damaged batches


def ticks(nanoseconds):
    """Times in the unit of G3, rounded."""
    return (np.asarray(nanoseconds) + TICK_NS // 2) // TICK_NS


class Segment:
    """Samples of a module without an interruption that is longer than a scan."""

    def __init__(self, scan, is_continued, period_ns):
        self.scan = scan
        # True if it goes on where the segment before it ends, so that the samples lost between them
        # have a place in it.
        self.is_continued = is_continued
        self.period_ns = period_ns
        self.parts = []
        self.rows = 0
        self.filled = 0

    def add(self, part):
        self.parts.append(part)
        self.rows += len(part["time_ns"])

    def joined(self):
        return {key: np.concatenate([part[key] for part in self.parts]) for key in self.parts[0]}


class Module:
    """A file of samples, read batch by batch and cut into segments."""

    def __init__(self, spec, scan_s):
        self.spec = spec
        self.tag = spec["tag"]
        self.scan_s = scan_s
        self.file = pyarrow.ipc.open_file(pyarrow.memory_map(spec["path"]))
        names = self.file.schema.names
        self.channels = self.of("i", "channels")
        self.calibrated = self.of("df_hz", "channels") if "df_hz" in names else []
        self.is_counted = "sequence" in names
        self.samples = self.lost = self.timeless = self.scans = 0
        self.is_rateless = False  # True if a segment was written whose rate is not known
        self.broken = None
        self.first_ns = None
        for number in range(self.file.num_record_batches):
            try:
                known = self.batch(number)["time_ns"]
            except DAMAGED:
                # Segments end here too, and have what comes before.
                break
            known = known[known != NO_TIME]
            if len(known):
                # A lone time does not decide on all scans.
                near = np.flatnonzero(np.abs(np.diff(known)) <= scan_s * 1e9)
                self.first_ns = int(known[near[0] if len(near) else 0])
                break
        self.period_ns = None

    def of(self, column, key):
        return json.loads(self.file.schema.field(column).metadata[key.encode()])

    def batch(self, number):
        """The columns of a record batch, as arrays with a value or a row for each sample."""
        batch = self.file.get_batch(number)
        count = batch.num_rows
        part = {"time_ns": batch["time"].cast("int64").fill_null(NO_TIME).to_numpy()}
        for name in ("i", "q"):
            part[name] = batch[name].flatten().to_numpy().reshape(count, len(self.channels))
        for name in ("df_hz", "dqi_inv"):
            if self.calibrated:
                values = batch[name].flatten().to_numpy(zero_copy_only=False)
                part[name] = values.reshape(count, len(self.calibrated))
        names = self.file.schema.names
        for name in ("sequence", "lost_before", "stage", "overrange", "overvoltage"):
            if name in names:
                part[name] = batch[name].to_numpy(zero_copy_only=False)
        return part

    def period(self, part, row):
        """Time in nanoseconds between samples from a row on, or None if it is not written."""
        if "rate_hz" in self.spec:
            return 1e9 / self.spec["rate_hz"]
        if "stage" in part:
            return 1e9 / FIRST_RATE_HZ * 2.0 ** int(part["stage"][row])
        return None

    def usual_period(self, part):
        """Time in nanoseconds between most samples, or None if the times do not tell it."""
        rows = np.flatnonzero(part["time_ns"] != NO_TIME)
        if len(rows) < 2:
            return None
        between = np.diff(part["time_ns"][rows]) / np.diff(self.places(part)[rows])
        period = float(np.median(between))
        return period if period > 0 else None

    def places(self, part):
        """Number of the samples before each one in the batch, with the lost ones."""
        places = np.arange(len(part["time_ns"]), dtype=float)
        return places + np.cumsum(part["lost_before"].astype(float)) if self.is_counted else places

    def most(self, period_ns):
        """Number of samples that a scan has. It need not be whole."""
        return self.scan_s * 1e9 / period_ns if period_ns else ROWS_WITHOUT_RATE

    def segments(self, start_ns):
        """The segments, in order. Scans are counted from the time `start_ns`."""
        segment = last = None
        clock, scan = Clock(self.scan_s * 1e9), 0
        for number in range(self.file.num_record_batches):
            try:
                part = self.batch(number)
            except DAMAGED as error:
                self.broken = str(error)
                break
            count = len(part["time_ns"])
            if not count:
                continue
            self.period_ns = self.period(part, 0) or self.period_ns or self.usual_period(part)
            known = part["time_ns"] != NO_TIME
            since = np.where(known, part["time_ns"] - start_ns, np.nan)
            scans = clock.read(since, self.places(part), self.period_ns or 0) // clock.scan_ns
            scans = np.clip(scans, scan, MOST_SCAN).astype(np.int64)
            scans = np.maximum.accumulate(scans)
            scan = int(scans[-1])
            begins, kept = self.begins(part, last, scans, segment)
            last = {key: value[-1] for key, value in part.items() if value.ndim == 1}
            cuts = sorted({0, *begins, count})
            for at, end in zip(cuts, cuts[1:]):
                if at > 0 or at in begins or segment is None:
                    if segment is not None:
                        yield segment
                    period_ns = self.period(part, at) or self.period_ns
                    segment = Segment(int(scans[at]), begins.get(at, False), period_ns)
                segment.add({key: value[at:end] for key, value in part.items()})
            segment.filled = kept
            self.samples += count
            self.timeless += int(np.sum(~known))
            if self.is_counted:
                self.lost += int(part["lost_before"].sum())
        if segment is not None:
            yield segment

    def begins(self, part, last, scans, segment):
        """The rows with which a segment begins, each with true if it goes on where the one before
        it ends: another scan begins, or the segment is full. The others are another stage, a stream
        that began anew, or more lost samples than a scan has. Also the number of lost samples in
        the last segment so far."""
        count = len(scans)
        turns = np.zeros(count, dtype=bool)
        turns[1:] = scans[1:] != scans[:-1]
        turns[0] = segment is not None and scans[0] != segment.scan
        apart = np.zeros(count, dtype=bool)
        if "stage" in part:
            stage = part["stage"]
            apart |= stage != np.concatenate([[last["stage"] if last else stage[0]], stage[:-1]])
        lost = np.zeros(count, dtype=np.uint64)
        if self.is_counted:
            sequence, lost = part["sequence"].astype(np.int64), part["lost_before"]
            before = int(last["sequence"]) if last else int(sequence[0]) - 1 - int(lost[0])
            before = np.concatenate([[before], sequence[:-1]])
            apart |= (before + 1 + (lost % 2**32).astype(np.int64)) % 2**32 != sequence
        # The segment so far: the row with which it began, which may be of a batch before, the lost
        # samples in it, and how many samples a scan has.
        begin = -segment.rows if segment is not None else 0
        filled = segment.filled if segment is not None else 0
        most = self.most(segment.period_ns if segment is not None else self.period_ns)
        begins = {}
        for row in [*np.flatnonzero(apart | turns | (lost > 0)), count]:
            full = math.ceil(MOST_SCANS * most)
            while begin + full < row:
                begin, filled = max(begin + full, 0), 0
                begins[begin] = True
            if row == count:
                break
            turns[row] |= begin + full == row
            filled = int(lost[row]) + (0 if turns[row] else filled)
            apart[row] |= filled > most
            filled = 0 if apart[row] else filled
            if apart[row] or turns[row]:
                begin, begins[int(row)] = int(row), not apart[row]
                most = self.most(self.period(part, row) or self.period_ns)
        return begins, filled


class Clock:
    """Times of samples that decide on their scans. A time that is more than a scan away from the
    time before it, and from the one behind it, is not used. Nor is one that is absent. Such a
    sample is taken to be one period behind the one before it."""

    def __init__(self, scan_ns):
        self.scan_ns = scan_ns
        # Times at which the next batch is expected to begin: by the last time that was used, and by
        # the last one at all, which the next may confirm.
        self.expected = []

    def read(self, times, places, period_ns):
        """Times of a batch in the order of its rows, from times that are NaN if they are absent."""
        bases = times - places * period_ns
        rows = np.flatnonzero(~np.isnan(times))
        is_far = np.abs(np.diff(bases[rows])) > self.scan_ns
        # At the start of the file the time behind decides alone. If there is none, it is used.
        near = [abs(bases[row] - one) <= self.scan_ns for row in rows[:1] for one in self.expected]
        is_first_far = not any(near) and (bool(self.expected) or len(rows) > 1)
        is_lone = np.concatenate([[is_first_far], is_far]) & np.concatenate([is_far, [True]])
        used = rows[~is_lone[: len(rows)]]
        latest = np.searchsorted(used, np.arange(len(times)), side="right") - 1
        first = self.expected[0] if self.expected else 0.0
        based = np.concatenate([bases[used], [first]])[latest]
        following = (places[-1] + 1) * period_ns
        seen = bases[rows[-1]] if len(rows) else (self.expected or [0.0])[-1]
        self.expected = [based[-1] + following, seen + following]
        return based + places * period_ns


NO_TIME = -(2**63)
MOST_SCAN = 2**53  # of the numbers of scans, against times that are damaged


def filled(values, places, count, gap):
    """Values for each sample of a segment, with `gap` in place of lost ones."""
    result = np.full((count, *values.shape[1:]), gap, dtype=np.result_type(values, type(gap)))
    result[places] = values
    return result


def put(frame, module, segment):
    """Adds a segment to the frame of a scan."""
    tag, part = module.tag, segment.joined()
    rows = len(part["time_ns"])
    places = np.arange(rows)
    before = 0
    if module.is_counted:
        lost = part["lost_before"].astype(np.int64)
        before = 0 if segment.is_continued else int(lost[0])
        places = places + np.cumsum(lost) - before
    count = int(places[-1]) + 1
    times = np.zeros(count, dtype=np.int64)
    known = part["time_ns"] != NO_TIME
    times[places[known]] = ticks(part["time_ns"][known])
    start = stop = core.G3Time(0)
    if known.any():
        # Ends without a time of their own are counted from the nearest sample with one.
        period = (segment.period_ns or 0) / TICK_NS
        first, last = places[known][0], places[known][-1]
        if period or first == 0:
            start = core.G3Time(int(times[first] - round(first * period)))
        if period or last == count - 1:
            stop = core.G3Time(int(times[last] + round((count - 1 - last) * period)))

    def put_map(key, names, values, units):
        data = np.ascontiguousarray(filled(values, places, count, np.nan).T)
        frame[f"{key}_{tag}"] = core.G3TimestreamMap(names, data, start=start, stop=stop, units=units)

    unit, steps = core.G3TimestreamUnits, module.spec["steps_per_count"]
    put_map("RawTimestreams_I", module.spec["names"], part["i"] / steps, unit.Counts)
    put_map("RawTimestreams_Q", module.spec["names"], part["q"] / steps, unit.Counts)
    if module.calibrated:
        names = [module.spec["names"][module.channels.index(one)] for one in module.calibrated]
        shift = part["df_hz"].astype(float) * core.G3Units.Hz
        none = getattr(unit, "None")
        # The units of so3g have no frequency.
        put_map("FrequencyShift", names, shift, getattr(unit, "Frequency", none))
        put_map("InverseQiChange", names, part["dqi_inv"].astype(float), none)
    frame[f"SampleTimes_{tag}"] = core.G3VectorTime(times)
    if module.is_counted:
        is_lost = np.ones(count, dtype=bool)
        is_lost[places] = False
        first = int(part["sequence"][0]) - int(places[0])
        numbers = (first + np.arange(count, dtype=np.int64)) % 2**32
        frame[f"Sequence_{tag}"] = core.G3VectorInt(numbers)
        frame[f"SampleLost_{tag}"] = core.G3VectorBool(is_lost)
        frame[f"LostSamples_{tag}"] = count - rows
        frame[f"LostBefore_{tag}"] = before
    for key, name in (("overrange", "Overrange"), ("overvoltage", "Overvoltage")):
        if key in part:
            flags = filled(part[key].astype(bool), places, count, False)
            frame[f"{name}_{tag}"] = core.G3VectorBool(flags)
    if "stage" in part:
        frame[f"DecimationStage_{tag}"] = int(part["stage"][0])
    if segment.period_ns:
        frame[f"SampleRate_{tag}"] = 1e9 / segment.period_ns * core.G3Units.Hz
    else:
        module.is_rateless = True
    module.scans += 1


def observation(spec):
    """The frame with the origin of the data."""
    frame = core.G3Frame(core.G3FrameType.Observation)
    for key, value in spec["origin"].items():
        is_time = key in ("ObservationStart", "ObservationStop")
        frame[key] = core.G3Time(value) if is_time else value
    return frame


def calibration(board):
    """The frame of a board: its channels, and what the tune knows of them."""
    frame = core.G3Frame(core.G3FrameType.Calibration)
    frame["BoardName"] = board["name"]
    if board["serial"] is not None:
        frame["BoardSerial"] = board["serial"]
    if board["tune"] is not None:
        frame["TuneRun"] = board["tune"]
    kinds = {"numbers": core.G3MapInt, "words": core.G3MapString, "values": core.G3MapDouble}
    for kind, of in kinds.items():
        for key, values in board[kind].items():
            frame[key] = of(values)
    for key, values in board["frequencies"].items():
        frame[key] = core.G3MapDouble({name: hz * core.G3Units.Hz for name, hz in values.items()})
    for key, values in board["complex"].items():
        frame[key] = core.G3MapVectorDouble(values)
    if BolometerPropertiesMap is not None:
        properties = BolometerPropertiesMap()
        for name in board["numbers"]["Channel"]:
            properties[name] = BolometerProperties()
            properties[name].physical_name = name
        frame["BolometerProperties"] = properties
    return frame


def check(path, written):
    """Raises an error unless the file has as many frames as were written. A writer that is full
    does not tell."""
    try:
        read = sum(1 for _ in core.G3File(path))
        if path.endswith(".gz"):
            # The end of a compressed file is behind its last frame.
            with gzip.open(path) as file:
                while file.read(2**20):
                    pass
    except (RuntimeError, OSError, EOFError, zlib.error) as error:
        raise OSError(f"{path} was not written completely: {error}") from error
    if read != written:
        raise OSError(f"{path} was not written completely: it has {read} of {written} frames")


def main():
    spec = json.load(sys.stdin)
    scan_s = spec["scan_s"]
    modules, missing = [], []
    for board in spec["boards"]:
        for one in board["modules"]:
            try:
                modules.append(Module(one, scan_s))
            except (pyarrow.ArrowException, OSError, KeyError, ValueError) as error:
                missing.append({"file": one["file"], "reason": str(error)})
    if not modules:
        print(json.dumps({"modules": [], "missing": missing, "doubts": [], "scans": 0}))
        return
    firsts = [one.first_ns for one in modules if one.first_ns is not None]
    start_ns = min(firsts, default=0)
    writer = core.G3Writer(spec["out"])
    writer(observation(spec))
    for board in spec["boards"]:
        writer(calibration(board))
    streams = [(module, module.segments(start_ns)) for module in modules]
    heads = [(module, stream, next(stream, None)) for module, stream in streams]
    scans = 0
    while heads := [head for head in heads if head[2] is not None]:
        scan = min(segment.scan for _, _, segment in heads)
        frame = core.G3Frame(core.G3FrameType.Scan)
        frame["ScanNumber"] = scan
        following = []
        for module, stream, segment in heads:
            if segment.scan == scan:
                put(frame, module, segment)
                segment = next(stream, None)
            following.append((module, stream, segment))
        heads = following
        writer(frame)
        scans += 1
    writer(core.G3Frame(core.G3FrameType.EndProcessing))
    del writer
    # The frame that ends the processing is not in the file.
    check(spec["out"], 1 + len(spec["boards"]) + scans)
    report, doubts = [], []
    for module in modules:
        if module.broken is not None:
            missing.append({"file": module.spec["file"], "reason": module.broken})
            if not module.samples:
                continue
        if module.is_rateless:
            doubts.append(f"the sample rate of {module.spec['file']} is not known")
        counts = {key: getattr(module, key) for key in ("samples", "lost", "timeless", "scans")}
        report.append({"tag": module.tag, **counts})
    answer = {"modules": report, "missing": missing, "doubts": doubts, "scans": scans}
    print(json.dumps(answer))


main()
