-- How long is nothing said about a prompt before its end, by how it ends?
-- Percentiles are values that occurred, of the nearest rank, at most 1.2 percent above it: values
-- are counted in buckets of that width first, which every engine does in one pass.
with buckets as (
  select version, server, outcome,
         cast(floor(log10(silence_before_end_us + 1) * 200) as bigint) as bucket,
         count(*) as counted,
         max(silence_before_end_us) as value_us
  from prompts
  where silence_before_end_us >= 0
  group by version, server, outcome,
           cast(floor(log10(silence_before_end_us + 1) * 200) as bigint)
),
stacked as (
  select version, server, outcome, counted, value_us,
         sum(counted) over (partition by version, server, outcome order by bucket) as up_to,
         sum(counted) over (partition by version, server, outcome) as total
  from buckets
)
select version, server, outcome,
       cast(max(total) as bigint) as prompts,
       min(case when up_to >= 0.5 * total then value_us end) as p50_us,
       min(case when up_to >= 0.95 * total then value_us end) as p95_us,
       max(value_us) as max_us
from stacked
group by version, server, outcome
order by version, server, outcome
