-- How long do nodes run? By class, with percentiles.
-- Percentiles are values that occurred, of the nearest rank, at most 1.2 percent above it: values
-- are counted in buckets of that width first, which every engine does in one pass.
with buckets as (
  select version, server, class_type,
         cast(floor(log10(run_us + 1) * 200) as bigint) as bucket,
         count(*) as counted,
         max(run_us) as value_us,
         sum(run_us) as spent_us
  from node_runs
  where run_us >= 0
  group by version, server, class_type,
           cast(floor(log10(run_us + 1) * 200) as bigint)
),
stacked as (
  select version, server, class_type, counted, value_us, spent_us,
         sum(counted) over (partition by version, server, class_type order by bucket) as up_to,
         sum(counted) over (partition by version, server, class_type) as total
  from buckets
)
select version, server, class_type,
       cast(max(total) as bigint) as runs,
       min(case when up_to >= 0.5 * total then value_us end) as p50_us,
       min(case when up_to >= 0.95 * total then value_us end) as p95_us,
       max(value_us) as max_us,
       cast(sum(spent_us) as bigint) as total_us
from stacked
group by version, server, class_type
order by version, server, total_us desc, class_type
