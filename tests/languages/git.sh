# git: a repository from the first commit to a clone, in a directory of its own below $WHERE.
export LC_ALL=C PATH=/usr/bin:/bin GIT_CONFIG_NOSYSTEM=1
cd "$(mktemp -d -p "${WHERE:-/tmp}")" || exit
export HOME="$PWD" GIT_PAGER=cat
export GIT_AUTHOR_DATE='2001-01-01 00:00 +0000' GIT_COMMITTER_DATE='2001-01-01 00:00 +0000'
git config --global user.name Crab
git config --global user.email crab@example.org
git config --global init.defaultBranch main
git config --global advice.detachedHead false
git init -q repository && cd repository || exit
echo one >a; mkdir d; seq 100 >d/n
git add .; git commit -m first; git log --stat
git branch side; echo two >>a; git commit -qam second
git checkout side; seq 2 101 >d/n; echo x >new; chmod +x new; ln -s a link
git add -A; git status; git status -s; git commit -m third
git checkout main; git merge side -m merged; git log --oneline --graph --all
git diff HEAD~1; git show --stat; git mv new moved; git rm -q d/n
git stash; git stash pop; git commit -qm moved; git tag -a v1 -m tag; git describe
git checkout -b conflict HEAD~1; echo three >>a; git commit -qam theirs
git checkout -q main; echo four >>a; git commit -qam ours
git merge conflict; echo "merge $?"; git diff; git merge --abort
git rebase conflict 2>/dev/null; echo "rebase $?"; git rebase --abort
git cherry-pick conflict 2>/dev/null; git cherry-pick --abort
git reset -q --hard HEAD~1; git reflog | wc -l; git blame a; git grep -n two
git gc -q; git fsck --full; echo "fsck $?"; git count-objects -v | grep in-pack
git clone -q . ../clone; cd ../clone || exit; git log --oneline | wc -l; git pull
git format-patch -1 --stdout | head -n 20; git archive HEAD | tar tf -; git ls-files -s
git push -q origin HEAD:refs/heads/pushed; git -C ../repository branch
git -c pack.threads=2 repack -adq; git bundle create -q ../bundle HEAD; git bundle verify -q ../bundle
git worktree add -q ../tree HEAD~1; git cat-file -p HEAD; git for-each-ref; git clean -fdn
rm -rf "$HOME"
