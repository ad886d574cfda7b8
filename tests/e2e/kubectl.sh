#!/bin/bash
# What kubectl asks of a standalone daemon (`version`, `api-resources`, `get`,
# `get -o json`, `get -l`, `--chunk-size`, `--raw`), asked with curl and read
# with jq: discovery says the truth, lists and objects have the Kubernetes form.
# With the kubeconfig that `tributary kubeconfig` writes, on the member and on
# the management-only primary over it.
TEST=kubectl
# shellcheck source=tests/lib/lab.sh
. "$(dirname "$0")/../lib/lab.sh"
# shellcheck source=tests/lib/api_lab.sh
. "$here/tests/lib/api_lab.sh"

TABLE='application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json'
GROUPS_ACCEPT='application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json'

# kubeconfig CLUSTER: what kubectl takes from the file, into files for curl.
kubeconfig() {
	local f d=$LAB_DIR/files/k-$1
	mkdir -p "$d"
	f=$d/kubeconfig
	"$LAB_BIN/tributary" kubeconfig dev --control "$(lab_control "$1")" --out "$f" >/dev/null
	check "$1: the kubeconfig is for its owner alone" [ "$(stat -c %a "$f")" = 600 ]
	for key in certificate-authority client-certificate client-key; do
		sed -n "s/^ *-* *$key-data: *//p" "$f" | tr -d '"' | base64 -d >"$d/$key.pem"
		check "$1: it holds $key-data" grep -q -- '-----BEGIN' "$d/$key.pem"
	done
	sed -n 's/^ *-* *server: *//p' "$f" | tr -d '"' >"$d/server"
	check "$1: and the address" grep -qx "$(api_url "$1")" "$d/server"
	check "$1: a current context" grep -q '^current-context: *[^ ]' "$f"
}

kube() { # kube CLUSTER PATH [CURL-ARGS...]
	local d=$LAB_DIR/files/k-$1 path=$2
	shift 2
	curl -sS --max-time 15 --cacert "$d/certificate-authority.pem" --cert "$d/client-certificate.pem" \
		--key "$d/client-key.pem" "$@" "$(cat "$d/server")$path"
}

# says CLUSTER PATH JQ [CURL-ARGS...]: the answer makes the jq filter true.
says() {
	local c=$1 path=$2 filter=$3
	shift 3
	kube "$c" "$path" "$@" | tee "$LAB_DIR/log/kube.out" | jq -e "$filter" >/dev/null || {
		head -c 2000 "$LAB_DIR/log/kube.out"
		return 1
	}
}

code() { # code CLUSTER METHOD PATH CODE[/CODE] [CURL-ARGS...]: a Status of it
	local c=$1 method=$2 path=$3 want=$4 got
	shift 4
	got=$(kube "$c" "$path" -X "$method" -o "$LAB_DIR/log/kube.out" -w '%{http_code}' "$@")
	case "/$want/" in
	*"/$got/"*) jq -e ".kind == \"Status\" and .code == $got" "$LAB_DIR/log/kube.out" >/dev/null && return 0 ;;
	esac
	echo "$got"
	head -c 2000 "$LAB_DIR/log/kube.out"
	return 1
}

discovery() { # discovery CLUSTER
	local c=$1 gv
	check "$c: version" says "$c" /version '.major == "1" and (.minor | tonumber) > 20 and .gitVersion != ""'
	check "$c: /api" says "$c" /api '.kind == "APIVersions" and .versions == ["v1"]'
	check "$c: /apis" says "$c" /apis '.kind == "APIGroupList" and (.groups | length) > 3'
	check "$c: asked for aggregated discovery it answers the plain form" \
		says "$c" /apis '.kind == "APIGroupList"' -H "accept: $GROUPS_ACCEPT"
	check "$c: its content type is JSON" grep -qix 'content-type: application/json' \
		<(kube "$c" /apis -D - -o /dev/null | tr -d '\r')
	for gv in $(kube "$c" /apis | jq -r '.groups[] | .preferredVersion.groupVersion'); do
		check "$c: group ${gv%/*}" says "$c" "/apis/${gv%/*}" \
			".kind == \"APIGroup\" and .preferredVersion.groupVersion == \"$gv\""
		check "$c: $gv" says "$c" "/apis/$gv" ".kind == \"APIResourceList\" and .groupVersion == \"$gv\" and (.resources | length) > 0"
		resources "$c" "$gv" "/apis/$gv"
	done
	check "$c: v1" says "$c" /api/v1 '.kind == "APIResourceList" and .groupVersion == "v1"'
	resources "$c" v1 /api/v1
	for gv in /apis/none /apis/apps/v9 /api/v2 /apis/apps/v1/none /openapi/v2 /openapi/v3 /swagger.json; do
		check "$c: $gv is 404" code "$c" GET "$gv" 404
	done
}

resources() { # resources CLUSTER GROUP-VERSION PATH: each is what it says
	local c=$1 gv=$2 path=$3 name kind namespaced verbs
	check "$c: $gv: no watch, every resource named, kinds right" says "$c" "$path" \
		'all(.resources[]; (.verbs | index("watch") | not) and (.verbs | length) > 0 and .kind != "" and (.namespaced | type) == "boolean")'
	while read -r name kind namespaced verbs; do
		case $name in */*) continue ;; esac
		case ",$verbs," in *,list,*) ;; *) continue ;; esac
		case $kind in
		MirrordClusterSession) # for primaries
			check "$c: $name is not for users" code "$c" GET "$path/$name" 403
			continue
			;;
		Rollout) # as a cluster without Argo, which has none either
			check "$c: no target is a rollout: 404" code "$c" GET "$path/namespaces/default/$name" 404
			continue
			;;
		esac
		listing "$c" "$gv" "$path/$name" "$kind"
		[ "$namespaced" = true ] || continue
		listing "$c" "$gv" "$path/namespaces/default/$name" "$kind"
		check "$c: $name of a namespace that is not there: an empty list" \
			says "$c" "$path/namespaces/none/$name" '.items == []'
	done < <(kube "$c" "$path" | jq -r '.resources[] | "\(.name) \(.kind) \(.namespaced) \(.verbs | join(","))"')
}

listing() { # listing CLUSTER GROUP-VERSION PATH KIND
	local c=$1 gv=$2 path=$3 kind=$4 name ns
	check "$c: $path is a ${kind}List" says "$c" "$path?limit=500" \
		".kind == \"${kind}List\" and .apiVersion == \"$gv\" and (.metadata | type) == \"object\" and (.items | type) == \"array\"" \
		-H "accept: $TABLE"
	check "$c: its items are objects of that kind" says "$c" "$path" \
		"all(.items[]; .kind == \"$kind\" and .apiVersion == \"$gv\" and .metadata.name != \"\")"
	name=$(jq -r '.items[0].metadata.name // empty' "$LAB_DIR/log/kube.out")
	ns=$(jq -r '.items[0].metadata.namespace // empty' "$LAB_DIR/log/kube.out")
	[ -n "$name" ] && case $path in */namespaces/*) true ;; *) [ -z "$ns" ] ;; esac || return 0
	check "$c: $path/$name" says "$c" "$path/$name" \
		".kind == \"$kind\" and .apiVersion == \"$gv\" and .metadata.name == \"$name\"" -H "accept: $TABLE"
	check "$c: $path/none-such is 404" code "$c" GET "$path/${name%%.*}.none-such" 404
	for method in PUT PATCH; do
		check "$c: $method of $path/$name is 405" code "$c" "$method" "$path/$name" 405 -d '{}'
	done
}

selecting() { # selecting CLUSTER
	local c=$1 p=/api/v1/namespaces/default/pods q
	check "$c: uids are unique" says "$c" /apis/apps/v1/deployments \
		'[.items[].metadata.uid] | length > 1 and (unique | length) == length'
	check "$c: objects have what kubectl prints" says "$c" $p \
		'all(.items[]; .metadata.creationTimestamp and .metadata.resourceVersion and .metadata.uid and .status.phase and .spec.nodeName and (.status.containerStatuses | type) == "array")'
	for q in 'app%3Dweb' 'app%3D%3Dweb' 'app+in+%28web%2Cx%29' 'app' '%21none' 'app%21%3Dx' 'app+notin+%28x%29' 'app,none%21%3Dx'; do
		check "$c: pods -l $q" says "$c" "$p?labelSelector=$q" '(.items | length) > 0'
	done
	for q in 'app%3Dx' 'none' '%21app' 'app+in+%28x%29' 'app%21%3Dweb'; do
		check "$c: no pods -l $q" says "$c" "$p?labelSelector=$q" '.items == []'
	done
	for q in 'app%3D%3D%3Dx' 'app+in' '%28' 'app+in+%28' 'a+b' '%21'; do
		check "$c: pods -l $q is 400" code "$c" GET "$p?labelSelector=$q" 400
	done
	check "$c: pods by a field" says "$c" "$p?fieldSelector=metadata.name%3Dweb-1" '(.items | length) > 0'
	check "$c: no pods by a field" says "$c" "$p?fieldSelector=metadata.name%3Dnone" '.items == []'
	check "$c: running pods" says "$c" "$p?fieldSelector=status.phase%3DRunning" '(.items | length) > 0'
	check "$c: pending pods" says "$c" "$p?fieldSelector=status.phase%3DPending" '.items == []'
	chunks "$c"
}

chunks() { # kubectl get --chunk-size=1
	local c=$1 p=/apis/apps/v1/deployments token='' all=0 n whole pages=0
	whole=$(kube "$c" $p | jq '.items | length')
	while :; do
		kube "$c" "$p?limit=1&continue=$token" >"$LAB_DIR/log/kube.out"
		n=$(jq '.items | length' "$LAB_DIR/log/kube.out")
		all=$((all + n)) pages=$((pages + 1))
		token=$(jq -r '.metadata.continue // empty | @uri' "$LAB_DIR/log/kube.out")
		if [ -z "$token" ] || [ "$pages" -ge 20 ]; then break; fi
	done
	check "$c: in chunks of one they are as many ($whole)" [ "$all" = "$whole" ]
	check "$c: that were $whole pages" [ "$pages" = "$whole" ]
	check "$c: a broken continue is 400 or 410" code "$c" GET "$p?limit=1&continue=%21%21" 400/410
}

writes_are_refused() { # kubectl apply, delete, scale, exec
	local c=$1
	check "$c: create a pod is 405" code "$c" POST /api/v1/namespaces/default/pods 405 -d '{}'
	check "$c: delete a deployment is 405" code "$c" DELETE /apis/apps/v1/namespaces/default/deployments/web 405
	check "$c: scale is 404 or 405" code "$c" PATCH '/apis/apps/v1/namespaces/default/deployments/web/scale' 404/405 -d '{}'
	check "$c: exec is 404" code "$c" GET '/api/v1/namespaces/default/pods/web-1/exec?command=sh' 404
	check "$c: logs are 404" code "$c" GET /api/v1/namespaces/default/pods/web-1/log 404
	check "$c: secrets are 404" code "$c" GET /api/v1/namespaces/default/secrets 404
	check "$c: auth can-i is 404 or 405" code "$c" POST '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews' 404/405 -d '{}'
}

one_connection() { # kubectl keeps its connection
	local c=$1 d=$LAB_DIR/files/k-$1 s n
	s=$(cat "$d/server")
	n=$(curl -sS --max-time 15 --cacert "$d/certificate-authority.pem" --cert "$d/client-certificate.pem" \
		--key "$d/client-key.pem" -o /dev/null -o /dev/null -o /dev/null -w '%{num_connects}\n' \
		"$s/api" "$s/apis" "$s/api/v1/namespaces/default/pods" | awk '{ n += $1 } END { print n }')
	check "$c: three requests on one connection" [ "$n" = 1 ]
	check "$c: HEAD has no body" [ -z "$(kube "$c" /apis --head -o - | sed '1,/^\r*$/d')" ]
}

api_fleet hub east
for c in east hub; do
	kubeconfig "$c"
	discovery "$c"
	selecting "$c"
	writes_are_refused "$c"
	one_connection "$c"
done
check "hub: the target of its member, with the clusters it is in" says hub \
	/apis/operator.metalbear.co/v1/namespaces/default/targets/deployment.web '.spec.target.deployment == "web"'
check "a stranger's CA is not taken: curl refuses the server" \
	bash -c "! curl -sS --max-time 5 $(api_url hub)/health"
api_end
