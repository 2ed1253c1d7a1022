-- How long do prompts wait in the queue?
-- Percentiles are values that occurred, of the nearest rank, at most 1.2 percent above it: values
-- are counted in buckets of that width first, which every engine does in one pass.
with buckets as (
  select version, server,
         cast(floor(log10(queue_wait_us + 1) * 200) as bigint) as bucket,
         count(*) as counted,
         max(queue_wait_us) as value_us
  from prompts
  where queue_wait_us >= 0
  group by version, server,
           cast(floor(log10(queue_wait_us + 1) * 200) as bigint)
),
stacked as (
  select version, server, counted, value_us,
         sum(counted) over (partition by version, server order by bucket) as up_to,
         sum(counted) over (partition by version, server) as total
  from buckets
)
select version, server,
       cast(max(total) as bigint) as prompts,
       min(case when up_to >= 0.5 * total then value_us end) as p50_us,
       min(case when up_to >= 0.95 * total then value_us end) as p95_us,
       max(value_us) as max_us
from stacked
group by version, server
order by version, server
