-- How much is cached? Of all nodes that ran or were cached, by class.
select version, server, class_type,
       count(*) as nodes,
       cast(sum(case when cached then 1 else 0 end) as bigint) as cached,
       cast(sum(case when cached then 1 else 0 end) as double) / count(*) as cached_share
from node_runs
group by version, server, class_type
order by version, server, nodes desc, class_type
